"""Two Python loggers with rotation at 10 MB, for `cargo bench --bench logging`.

    logging_peers.py loguru|RotatingFileHandler FOLDER LINES

Prints: lines written, seconds, bytes, then nanoseconds of a call (median,
99 %, longest), and how many lines are missing.
"""

import glob
import os
import sys
import time

name, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = os.path.join(folder, "bench.log")

if name == "loguru":
    from loguru import logger

    logger.remove()
    logger.add(path, rotation=10_000_000)

    def say(n):
        logger.info(
            "tick NIFTY24DEC24000CE token={} ltp={:.2f} vol={} oi={} seq={}",
            10756098, 123.45 + n % 100, n * 75, 1234500, n,
        )

    finish = logger.remove
else:
    import logging
    import logging.handlers

    handler = logging.handlers.RotatingFileHandler(path, maxBytes=10_000_000, backupCount=100)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    log = logging.getLogger("ticker")
    log.setLevel(logging.INFO)
    log.addHandler(handler)

    def say(n):
        log.info(
            "tick NIFTY24DEC24000CE token=%d ltp=%.2f vol=%d oi=%d seq=%d",
            10756098, 123.45 + n % 100, n * 75, 1234500, n,
        )

    finish = logging.shutdown

times = []
begin = time.perf_counter_ns()
for n in range(count):
    start = time.perf_counter_ns()
    say(n)
    times.append(time.perf_counter_ns() - start)
finish()
seconds = (time.perf_counter_ns() - begin) / 1e9
files = glob.glob(folder + "/*")
lines = sum(open(file).read().count("seq=") for file in files)
times.sort()
print(lines, seconds, sum(map(os.path.getsize, files)), times[count // 2],
      times[count * 99 // 100], times[-1], count - lines)
