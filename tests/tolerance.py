"""The one tolerance that every statistical test shares."""

# A correct, approximately normal average leaves 4 standard errors once in 16,000 times; the seeds are fixed, so a
# test that passes keeps passing, and a bias of a standard error or two above this is found.
STANDARD_ERRORS = 4.0
