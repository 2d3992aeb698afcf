"""The mathematics of diffusion: noise schedules, the forward process, guidance, samplers."""
