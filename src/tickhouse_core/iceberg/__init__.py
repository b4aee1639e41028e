"""The Iceberg catalogue over a lake's compacted objects, as readers and the command see it: tables, snapshots, their objects.

pyiceberg is the extra `catalog`; it is imported when a catalogue is opened.
"""
