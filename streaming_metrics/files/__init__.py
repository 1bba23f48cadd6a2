"""Files written whole or not at all: tensors, other programs' arrays, and saved real sides."""
