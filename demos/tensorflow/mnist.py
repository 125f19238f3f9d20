"""Trains a small digit classifier on TFRecords that TensorFlow writes to and reads from a bucket.

    S3_ENDPOINT=localhost:8080/s3 S3_USE_HTTPS=0 python mnist.py [BUCKET]

The digits are drawn here, so that nothing has to be downloaded. TensorFlow up to 2.5 speaks S3 by itself. Later ones
need the package tensorflow-io, which takes the scheme from the endpoint: S3_ENDPOINT=http://localhost:8080/s3.
"""

import os
import sys

import numpy as np
import tensorflow as tf

try:
    import tensorflow_io  # noqa: F401 - it registers s3://
except ImportError:  # TensorFlow up to 2.5 has it
    pass

SHARDS = 4
PER_SHARD = 500
SIDE = 10
# A digit on a display of seven segments: top, upper left, upper right, middle, lower left, lower right, bottom.
SEGMENTS = "1110111 0010010 1011101 1011011 0111010 1101011 1101111 1010010 1111111 1111011".split()
PLACES = (
    (slice(1, 2), slice(3, 7)),
    (slice(2, 5), slice(2, 3)),
    (slice(2, 5), slice(7, 8)),
    (slice(5, 6), slice(3, 7)),
    (slice(6, 9), slice(2, 3)),
    (slice(6, 9), slice(7, 8)),
    (slice(9, 10), slice(3, 7)),
)


def digit(label, random):
    """A noisy image of a digit, shifted by up to a pixel."""
    image = random.random_sample((SIDE, SIDE)).astype("float32") * 0.3
    for lit, place in zip(SEGMENTS[label], PLACES):
        if lit == "1":
            image[place] += 0.7
    return np.roll(image, random.randint(-1, 2, size=2), axis=(0, 1))


def write(folder):
    """Writes the training data, a shard at a time."""
    random = np.random.RandomState(1)
    for shard in range(SHARDS):
        with tf.io.TFRecordWriter(f"{folder}/train-{shard:02}.tfrecord") as writer:
            for _ in range(PER_SHARD):
                label = random.randint(10)
                features = {
                    "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[digit(label, random).tobytes()])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def parse(record):
    """An image and its label."""
    layout = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    example = tf.io.parse_single_example(record, layout)
    return tf.reshape(tf.io.decode_raw(example["image"], tf.float32), (SIDE, SIDE)), example["label"]


def main():
    """Writes, lists, trains, and keeps the trained weights in the bucket."""
    folder = f"s3://{sys.argv[1] if len(sys.argv) > 1 else 'mnist'}/digits"
    write(folder)
    shards = sorted(tf.io.gfile.glob(folder + "/train-*.tfrecord"))
    print(f"TensorFlow {tf.__version__}, {os.environ.get('S3_ENDPOINT', 'Amazon S3')}")
    for shard in shards:
        print(f"{shard}  {tf.io.gfile.stat(shard).length} bytes")
    data = tf.data.TFRecordDataset(shards, num_parallel_reads=2).map(parse).shuffle(2000, seed=1).batch(50)
    model = tf.keras.Sequential(
        [tf.keras.layers.Flatten(), tf.keras.layers.Dense(64, activation="relu"), tf.keras.layers.Dense(10)]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    history = model.fit(data, epochs=8, verbose=0)
    for epoch, accuracy in enumerate(history.history["accuracy"], 1):
        print(f"epoch {epoch}: accuracy {accuracy:.2f}")
    with tf.io.gfile.GFile(folder + "/accuracy.txt", "w") as file:
        file.write(f"{history.history['accuracy'][-1]:.4f}\n")
    with tf.io.gfile.GFile(folder + "/accuracy.txt") as file:
        print("kept in the bucket: " + file.read().strip())
    if history.history["accuracy"][-1] < 0.9:
        raise SystemExit("the digits that were read are not those that were written")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # tensorflow-io's S3 client ends the process with an abort otherwise
