"""Frozen, slotted dataclasses that cost little to define and to make.

`dataclasses` writes and compiles half a dozen methods for each frozen class when its module is imported; for the two hundred classes
of this package that takes longer than checking a file does.  A `record` is a dataclass too (`fields` and `replace` work on it), but
all records share one equality, hash and repr, and `__init__` is compiled for the first instance.  That a record isn't changed is for the
type checker to see: to refuse it at run time would take as long as making the record does, and a check makes tens of thousands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, Final, TypeVar, dataclass_transform

T = TypeVar("T")
Values = Callable[[Any], Any]

_READERS: Final[dict[type[Any], Values]] = {}
_CHANGERS: Final[dict[type[Any], Any]] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with slots, equal to another of its class when their fields are."""
    return _share(_bare(cls), _COMPARED)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def entity(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with slots, equal to nothing but itself."""
    return _bare(cls)


def _bare(cls: type[T]) -> type[T]:
    cls.__doc__ = cls.__doc__ or cls.__name__  # for lack of one `dataclass` would inspect a signature
    return _share(dataclass(init=False, repr=False, eq=False, slots=True)(cls), _COMMON)


def _share(cls: type[T], methods: dict[str, Any]) -> type[T]:
    own = vars(cls)
    for name, method in methods.items():
        if own.get(name) is None:
            setattr(cls, name, method)
    return cls


def changed(value: T, **other: Any) -> T:
    """Return a dataclass with other values of some of its fields: what `dataclasses.replace` does, in a quarter of the time."""
    cls = type(value)
    return (_CHANGERS.get(cls) or _changer(cls))(value, **other)


# ------------------------------------------------------------------------------------------------- the methods of all


def _first(self: Any, *args: Any, **named: Any) -> None:
    """Stand for `__init__` until the first instance, which gives its class one of its own."""
    cls: Any = self.__class__
    cls.__init__ = _initialiser(cls)
    cls.__init__(self, *args, **named)


def _initialiser(cls: type[Any]) -> Any:
    """Compile `__init__` from the fields: a line for each."""
    scope: dict[str, Any] = {"_made": MISSING}
    arguments, lines = ["self"], list[str]()
    for item in fields(cls):
        name = value = item.name
        default = ""
        if item.default_factory is not MISSING:
            scope[f"_make_{name}"] = item.default_factory
            value, default = f"_make_{name}() if {name} is _made else {name}" if item.init else f"_make_{name}()", "=_made"
        elif item.default is not MISSING:
            scope[f"_default_{name}"] = item.default
            value, default = name if item.init else f"_default_{name}", f"=_default_{name}"
        elif not item.init:
            continue  # left to `__post_init__`
        arguments += [name + default] if item.init else []
        lines.append(f" self.{name} = {value}")
    lines += [" self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    exec(f"def __init__({', '.join(arguments)}):\n" + "\n".join(lines or [" pass"]), scope)
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    return scope["__init__"]


def _changer(cls: type[Any]) -> Any:
    """Compile, and keep, what makes another instance of one, each field handed on by name."""
    names = [item.name for item in fields(cls) if item.init]
    given = ", ".join(f"{name}=_same" for name in names)
    handed = ", ".join(f"{name}=_self.{name} if {name} is _same else {name}" for name in names)
    scope: dict[str, Any] = {"_cls": cls, "_same": MISSING}
    exec(f"def change(_self, *, {given}):\n return _cls({handed})", scope)
    return _CHANGERS.setdefault(cls, scope["change"])


def _reader(cls: type[Any]) -> Values:
    """Return, and keep, what reads the fields of an instance that count in a comparison."""
    names = [item.name for item in fields(cls) if item.compare]
    read: Values = attrgetter(*names) if names else lambda self: ()
    return _READERS.setdefault(cls, read)


def _equal(self: Any, other: object) -> bool:
    cls: Any = self.__class__
    if other.__class__ is not cls:
        return NotImplemented
    read = _READERS.get(cls) or _reader(cls)
    return self is other or read(self) == read(other)


def _hash(self: Any) -> int:
    cls: Any = self.__class__
    return hash((_READERS.get(cls) or _reader(cls))(self))


@recursive_repr()
def _repr(self: Any) -> str:
    shown = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.repr)
    return f"{type(self).__qualname__}({shown})"


_COMMON: Final[dict[str, Any]] = {"__init__": _first, "__repr__": _repr}
_COMPARED: Final[dict[str, Any]] = {"__eq__": _equal, "__hash__": _hash}
