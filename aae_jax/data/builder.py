"""The tensorflow-datasets builders of mnist and fashion_mnist, without TensorFlow.

The stock builders need TensorFlow to prepare. These have the same names, version,
features, keys and so order, and write array_record files, which any user of
tensorflow-datasets reads with `tfds.data_source`.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

Split = tuple[np.ndarray, np.ndarray]

FASHION_NAMES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


# The stock classes own the registered names; these are found by their files instead.
class MnistBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes 28 x 28 grey images of 10 classes that are already in memory."""

    name = "mnist"
    VERSION = tfds.core.Version("3.0.1")
    description = "Handwritten digits, from the IDX files of MNIST."
    homepage = "http://yann.lecun.com/exdb/mnist/"
    label = tfds.features.ClassLabel(num_classes=10)
    splits: Mapping[str, Split]

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(28, 28, 1)), "label": self.label}
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.description,
            features=features,
            supervised_keys=("image", "label"),
            homepage=self.homepage,
        )

    def _split_generators(self, dl_manager):
        return {
            name: self._generate_examples(images, labels)
            for name, (images, labels) in self.splits.items()
        }

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            png = io.BytesIO()
            Image.fromarray(image).save(png, "PNG")
            yield index, {"image": png.getvalue(), "label": int(label)}


class FashionMnistBuilder(MnistBuilder, skip_registration=True):
    """The same for Fashion-MNIST."""

    name = "fashion_mnist"
    VERSION = tfds.core.Version("3.0.1")
    description = "Articles of clothing, from the IDX files of Fashion-MNIST."
    homepage = "https://github.com/zalandoresearch/fashion-mnist"
    label = tfds.features.ClassLabel(names=FASHION_NAMES)


BUILDERS = {builder.name: builder for builder in (MnistBuilder, FashionMnistBuilder)}


def build(name: str, splits: Mapping[str, Split], root: Path) -> Path:
    """Write the set `name` under `root`; it appears there whole or not at all.

    Args:
      name: `mnist` or `fashion_mnist`.
      splits: for `train` and `test`, images uint8 `[n, 28, 28]` and labels uint8 `[n]`
        in 0 to 9.
      root: the tfds data folder.

    Returns:
      The set's folder, `root/name/3.0.1`.
    """
    builder = BUILDERS[name](data_dir=root, file_format="array_record")
    builder.splits = splits
    tfds.disable_progress_bar()
    try:
        # What tfds prints speaks of a download; the caller has said what happens.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    finally:
        tfds.enable_progress_bar()
    return Path(builder.data_dir)
