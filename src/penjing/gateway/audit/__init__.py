"""The audit log: records that cannot be changed, taken out or put in another order without it being seen."""
