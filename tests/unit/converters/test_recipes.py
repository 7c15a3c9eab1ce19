import pytest

from converters import recipes
from edge_sdk.errors import UnknownNameError


def test_every_recipe_is_found_by_name() -> None:
    assert [recipes.find(name).name for name in recipes.RECIPES] == list(recipes.RECIPES)
    assert [r.name for r in recipes.RECIPES.values() if r.needs_data] == [
        "int8",
        "int8_io",
        "int16x8",
        "mixed",
    ]
    assert [r.name for r in recipes.RECIPES.values() if r.io == "int8"] == ["int8_io"]
    assert recipes.AUTO not in recipes.RECIPES


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'in8'.*did you mean 'int8'"):
        recipes.find("in8")


def test_the_table_decodes_every_recipe_in_aligned_columns() -> None:
    lines = recipes.table().splitlines()
    assert len(lines) == 1 + len(recipes.RECIPES) + 1
    assert lines[-1].startswith("auto ")
    start = lines[0].index("compute")
    for line, recipe in zip(lines[1:-1], recipes.RECIPES.values(), strict=True):
        assert line.startswith(recipe.name)
        assert line[start:].startswith(recipe.activations)
        assert line.endswith(recipe.meaning)
