"""The one seam to the disk: everything that touches files goes through :class:`fastk.io.disk.Disk`."""
