from mixwright.lab.analysis.statistics.calibration_error import ece_interval as ece_interval
from mixwright.lab.analysis.statistics.images import bootstrap_interval as bootstrap_interval
from mixwright.lab.analysis.statistics.images import sign_flip_p as sign_flip_p
from mixwright.lab.analysis.statistics.images import wilson_interval as wilson_interval
from mixwright.lab.analysis.statistics.interval import Interval as Interval
from mixwright.lab.analysis.statistics.interval import differences as differences
from mixwright.lab.analysis.statistics.interval import t_interval as t_interval
from mixwright.lab.analysis.statistics.multiplicity import holm as holm
from mixwright.lab.analysis.statistics.multiplicity import (
    simultaneous_intervals as simultaneous_intervals,
)
from mixwright.lab.analysis.statistics.ranks import Ranks as Ranks
from mixwright.lab.analysis.statistics.ranks import mean_ranks as mean_ranks
from mixwright.lab.analysis.statistics.resampling import crossed_interval as crossed_interval
from mixwright.lab.analysis.statistics.runs import Difference as Difference
from mixwright.lab.analysis.statistics.runs import NotWorse as NotWorse
from mixwright.lab.analysis.statistics.runs import not_worse as not_worse
from mixwright.lab.analysis.statistics.runs import paired_t as paired_t
from mixwright.lab.analysis.statistics.runs import runs_needed as runs_needed
from mixwright.lab.analysis.statistics.runs import welch_t as welch_t
from mixwright.lab.analysis.statistics.types import AcrossTypes as AcrossTypes
from mixwright.lab.analysis.statistics.types import across_types as across_types
from mixwright.lab.analysis.statistics.types import exact_sign_flip_p as exact_sign_flip_p
