"""The laboratory: data, training, evaluation, analysis, reports. Needs the extra ``lab``."""
