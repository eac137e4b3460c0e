from mixwright.adapters import timm as timm
from mixwright.adapters import torchvision as torchvision
from mixwright.adapters import transformers as transformers
from mixwright.adapters.mix import Mix as Mix
