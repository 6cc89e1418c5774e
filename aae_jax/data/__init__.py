"""Images and labels in memory from every source behind one function, `load_dataset`.

`python -m aae_jax.data mnist` gets MNIST; nothing else downloads. Importing this
package imports numpy, but neither jax nor tensorflow_datasets nor pillow.
"""

from aae_jax.data.arrays import Dataset
from aae_jax.data.preparing import prepare
from aae_jax.data.sources import (
    check_dataset_name,
    load_codes,
    load_dataset,
    load_images,
    names_of_images,
    resolve,
)

__all__ = [
    "Dataset",
    "check_dataset_name",
    "load_codes",
    "load_dataset",
    "load_images",
    "names_of_images",
    "prepare",
    "resolve",
]
