"""The denoising network and the spaces that it reads and writes."""
