"""docs/contract.md and docs/conversion.md name everything there is."""

import dataclasses
from pathlib import Path

import pytest

from converters import recipes
from converters.commands.convert import command
from edge_sdk import contract, modelfile

DOCS = Path(__file__).parents[3] / "docs"
PARTS = (
    contract.Contract,
    contract.Input,
    contract.Channel,
    contract.Tensor,
    contract.Output,
    contract.DecisionSettings,
    contract.Lineage,
)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_field_of_the_contract_is_documented(part: type) -> None:
    page = (DOCS / "contract.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(part):
        assert f"`{field.name}`" in page or f".{field.name}`" in page, field.name


def test_every_member_of_the_file_is_documented() -> None:
    page = (DOCS / "contract.md").read_text(encoding="utf-8")
    for member in (modelfile.CONTRACT, modelfile.GOLDEN, modelfile.LABELS, modelfile.RUN):
        assert member in page


def test_every_recipe_and_option_is_documented() -> None:
    page = (DOCS / "conversion.md").read_text(encoding="utf-8")
    for recipe in recipes.RECIPES.values():
        row = f"| `{recipe.name}` | {recipe.weights} | {recipe.activations} | {recipe.io} |"
        assert row in page
        assert f"{recipe.least_sqnr_db:.0f}" in page
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in {"output", "help"}:
            assert any(name in page for name in (*parameter.opts, *parameter.secondary_opts)), parameter.name
