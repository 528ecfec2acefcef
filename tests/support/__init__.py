"""What integration tests stand on: brokers, the EndTxn proxy, the bridge as a process, and a ledger of the truth."""
