"""Objects that never change, for modules that every process loads."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn


class Fixed:
    """What ``@dataclass(frozen=True)`` gives, but for ``__init__``, which writes ``vars(self)``.

    That decorator compiles its methods anew in each process: 0.8 ms a class, where ``import numpy`` takes 70.
    """

    names_of_fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        cls.names_of_fields = tuple(cls.__annotations__)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} of a {type(self).__name__} never changes: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name} of a {type(self).__name__} never changes: make another one")

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in zip(self.names_of_fields, self.values(), strict=True))
        return f"{type(self).__name__}({', '.join(shown)})"

    def values(self) -> tuple[Any, ...]:
        """What all of its fields hold, in their order."""
        return tuple(getattr(self, name) for name in self.names_of_fields)
