"""How mixers meet the loops that people have."""

from mixwright.adapters.mix import Mix as Mix
