from mixwright.lab.data.augment import Augment as Augment
from mixwright.lab.data.augment import OriginalCrop as OriginalCrop
from mixwright.lab.data.augment import ResizedCrop as ResizedCrop
from mixwright.lab.data.batches import Batches as Batches
from mixwright.lab.data.classes import fit_classes as fit_classes
from mixwright.lab.data.classes import fitted as fitted
from mixwright.lab.data.classes import match_classes as match_classes
from mixwright.lab.data.classes import with_classes as with_classes
from mixwright.lab.data.erase import RandomErasing as RandomErasing
from mixwright.lab.data.errors import DataError as DataError
from mixwright.lab.data.lazy import LazyImages as LazyImages
from mixwright.lab.data.load import load_data as load_data
from mixwright.lab.data.names import DATA_LINES as DATA_LINES
from mixwright.lab.data.names import DATA_SETS as DATA_SETS
from mixwright.lab.data.names import DataName as DataName
from mixwright.lab.data.names import parse_data as parse_data
from mixwright.lab.data.policies import RandAugment as RandAugment
from mixwright.lab.data.policies import TrivialAugment as TrivialAugment
from mixwright.lab.data.sets import Dataset as Dataset
from mixwright.lab.data.sets import ImageSet as ImageSet

__all__: list[str]
