"""From notifications to bronze: the loader, its ledger and its quarantine."""
