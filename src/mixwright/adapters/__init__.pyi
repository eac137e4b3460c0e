from mixwright.adapters import torchvision as torchvision
from mixwright.adapters.mix import Mix as Mix
