"""Lists for many users on a cluster: by Dask, Ray or Spark, to a folder of Parquet files."""

from ._dask import recommend_dask
from ._ray import recommend_ray
from ._spark import recommend_spark

__all__ = ["recommend_dask", "recommend_ray", "recommend_spark"]
