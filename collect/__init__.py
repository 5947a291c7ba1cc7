"""The emulator, the policies that play it, and the datasets made from it."""
