"""The status page: shows what the pipeline does and whether it is healthy. It reads, and changes nothing."""
