"""`tickhouse catalog`: the lake's compacted objects as Iceberg tables, whose snapshots stay readable for a while."""
