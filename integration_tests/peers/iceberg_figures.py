"""Runs in the peers' environment: figures of Iceberg tables as DuckDB's extension reads them.

python iceberg_figures.py QUERY… prints the first row of each, values as text.
"""

import json
import sys
from pathlib import Path

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg

connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for package, name in ((duckdb_extension_avro, "avro"), (duckdb_extension_iceberg, "iceberg")):
    (file,) = Path(package.__file__).parent.glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension")
    connection.execute(f"load '{file}'")
print(json.dumps([[str(value) for value in connection.execute(query).fetchall()[0]] for query in sys.argv[1:]]))
