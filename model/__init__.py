"""Networks and the inference pipeline. Imports none of the other packages and knows no screen."""
