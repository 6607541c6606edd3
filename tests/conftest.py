from hypothesis import settings

# A loaded machine is slow now and then; that is no fault of what is tested.
settings.register_profile("dynatrail", deadline=None)
settings.load_profile("dynatrail")
