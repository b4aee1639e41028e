-- The checksum of the ledger is of the values, not of the bytes, from here on. Rerun is safe: it changes a comment.
alter table ops_loaded_objects
    comment column checksum 'order-independent checksum of the values, the same that ops_accounting computes from bronze'
