"""What goes on inside a model: layers by name, their maps, attention."""

from __future__ import annotations

from mixwright.taps.attention import Attended as Attended
from mixwright.taps.attention import attending as attending
from mixwright.taps.attention import attention_layers as attention_layers
from mixwright.taps.attention import prefix_tokens as prefix_tokens
from mixwright.taps.hooks import Tap as Tap
from mixwright.taps.hooks import entering as entering
from mixwright.taps.hooks import replacing as replacing
from mixwright.taps.hooks import tapping as tapping
from mixwright.taps.layers import INPUT as INPUT
from mixwright.taps.layers import as_input as as_input
from mixwright.taps.layers import as_map as as_map
from mixwright.taps.layers import classifier as classifier
from mixwright.taps.layers import last_map as last_map
from mixwright.taps.layers import named_layer as named_layer
from mixwright.taps.layers import stages as stages
from mixwright.taps.modes import bare as bare
from mixwright.taps.modes import check_gradients as check_gradients
from mixwright.taps.modes import deep_copy as deep_copy
from mixwright.taps.modes import evaluating as evaluating
from mixwright.taps.modes import hooked as hooked
from mixwright.taps.sites import patch_side as patch_side
