"""Typed settings: the one place that turns text and JSON into values of declared types.

``read_value`` takes what a user wrote, ``check_fields`` what Python gave, ``decode`` what
``json.loads`` gave.
"""

from mixwright.lab.settings.declared import Rule as Rule
from mixwright.lab.settings.declared import choices as choices
from mixwright.lab.settings.declared import field_types as field_types
from mixwright.lab.settings.declared import option as option
from mixwright.lab.settings.declared import option_types as option_types
from mixwright.lab.settings.declared import without_none as without_none
from mixwright.lab.settings.text import default_texts as default_texts
from mixwright.lab.settings.text import option_flag as option_flag
from mixwright.lab.settings.text import option_pairs as option_pairs
from mixwright.lab.settings.text import read_options as read_options
from mixwright.lab.settings.text import read_value as read_value
from mixwright.lab.settings.text import write_value as write_value
from mixwright.lab.settings.values import DecodeError as DecodeError
from mixwright.lab.settings.values import check_fields as check_fields
from mixwright.lab.settings.values import check_value as check_value
from mixwright.lab.settings.values import decode as decode
from mixwright.lab.settings.values import displayed as displayed
