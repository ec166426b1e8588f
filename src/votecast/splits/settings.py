"""The settings of folds, in recipes and on the command line."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from votecast.config import Settings

FoldMethod = Literal["grouped", "stratified", "modulo", "single", "column"]


class FoldSettings(Settings):
    """How votes are divided into folds.

    Args:
        method: "grouped" keeps near-duplicate prompts together and balances votes and sizes, "stratified" balances
            votes alone, "modulo" takes the row's index modulo `n`, "single" holds out a share of the rows once,
            "column" makes one fold of each value of a column.
        n: Number of folds, at least 2; read by grouped, stratified and modulo.
        seed: Seed of the shuffling; by default that of the recipe.
        similarity: Jaccard similarity from which two prompts are kept together; read by grouped.
        column: Name of the column; read by column.
        fraction: Share of the rows held out; read by single.
        stratify: Whether the rows held out have the same shares of votes as the others; read by single.
        only: Number of the one fold to train and measure, from 0; None takes every fold. With `n` 10 it is a grouped
            tenth held out.
    """

    method: FoldMethod = "grouped"
    n: Annotated[int, Field(ge=2)] = 5
    seed: Annotated[int, Field(ge=0)] = 42
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.8
    column: str | None = None
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    stratify: bool = True
    only: Annotated[int | None, Field(ge=0)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.method == "column" and not self.column:
            raise ValueError("method column needs the name of a column; set folds.column")
        folds = {"single": 1, "column": None}.get(self.method, self.n)
        if self.only is not None and folds is not None and self.only >= folds:
            raise ValueError(only_beyond(self.only, folds))
        return self


def only_beyond(only: int, folds: int) -> str:
    """Compose the error for a fold that does not exist."""
    return f"folds.only is {only}, and there are {folds} folds, numbered from 0; allowed is 0 to {folds - 1}"
