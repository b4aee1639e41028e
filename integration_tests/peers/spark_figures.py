"""Runs in Spark's environment (`make spark`): figures of Iceberg tables that a REST catalogue has, as Spark's SQL reads them.

python spark_figures.py URI TOKEN QUERY… prints the first row of each, values as text; or which type of a file Spark refuses.
"""

import json
import re
import sys
from decimal import Decimal

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from snowpark_connect_deps_iceberg import get_jar_path

CATALOG = "spark.sql.catalog.tickhouse"


def main(uri: str, token: str, *queries: str) -> None:
    settings = {
        "spark.jars": str(get_jar_path("iceberg-spark-runtime-3.5_2.12-1.10.2.jar")),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        CATALOG: "org.apache.iceberg.spark.SparkCatalog",
        f"{CATALOG}.type": "rest",
        f"{CATALOG}.uri": uri,
        f"{CATALOG}.token": token,
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        print(json.dumps([first_row(session, query) for query in queries]))
    finally:
        session.stop()


def first_row(session: SparkSession, query: str) -> list[str]:
    try:
        return [f"{value:f}" if isinstance(value, Decimal) else str(value) for value in session.sql(query).collect()[0]]
    except (PySparkException, Py4JJavaError) as error:
        if (reason := re.search(r"Unsupported logical type: \w+", str(error))) is None:
            raise
        return [reason[0]]


if __name__ == "__main__":
    main(*sys.argv[1:])
