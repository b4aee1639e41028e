"""The SQL door: the process that holds the embedded engine's folder answers SQL on loopback, as ClickHouse does over HTTP.

It only reads. `serving_sql` opens it; readers find it by `tickhouse_core.folder_holder`.
"""
