from mixwright.lab.models.build import build_model as build_model
from mixwright.lab.models.names import MODELS as MODELS
from mixwright.lab.models.names import ModelError as ModelError
from mixwright.lab.models.normalised import Normalised as Normalised

__all__: list[str]
