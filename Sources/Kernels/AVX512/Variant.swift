// The variant's entry points join as its kernels do.
