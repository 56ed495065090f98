"""FastK and other stores side by side: every store answers the same questions, each as its expert would have it."""
