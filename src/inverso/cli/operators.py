"""Help that lists the operators."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class TakesOperator(TyperCommand):
    """A command whose help ends with the operators that it takes."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - their class has two homes
        """Write the help; only here, since operators import torch, which takes seconds."""
        from inverso.operators.spec import operator_examples  # noqa: PLC0415

        own = self.epilog
        self.epilog = f"{own}\n\nOperators: {'; '.join(operator_examples())}."
        try:
            super().format_help(ctx, formatter)
        finally:
            self.epilog = own
