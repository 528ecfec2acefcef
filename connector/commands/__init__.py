"""The commands of ``ccaas-bridge``, one file each.

A command's file imports only click at its top: what is heavy is imported when the command runs, so that ``--help``
answers at once and a faulty configuration is told before Kafka's library is loaded.
"""
