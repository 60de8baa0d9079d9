"""Import packages that come with an extra."""

from __future__ import annotations

from types import TracebackType

__all__ = ["ExtraImports"]


class ExtraImports:
    """If a package is missing, raise an error that names the extra to install.

    Use it around the imports of a module::

        with ExtraImports("anyio"):
            import anyio

    Args:
        extra: the name of the extra.
    """

    def __init__(self, extra: str) -> None:
        self._extra = extra

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, ModuleNotFoundError):
            raise ModuleNotFoundError(
                f"the package {error.name} is not installed: "
                f"pip install 'trio-tlsx[{self._extra}]'",
                name=error.name,
            ) from error
