"""Who is mixed, where, and how much of each label; and its application to pixels and labels."""

from mixwright.plan.plan import MixPlan as MixPlan
