"""Analysis on many machines: the same engines, the same findings, run by somebody else's scheduler.

The driver (``analysis``) cuts the input into partitions (``partition``), writes down what is to be done (``job``) and
hands tasks, which are short JSON texts, to an executor (``executors``: threads of this process, Dask, Spark). A task
(``work``) opens its partition by itself and writes summaries into the work folder (``summaries``); they never pass
through the scheduler. Summaries of a day are merged as a tree (``tree``), days are concluded in time order
(``fold``).

Whatever is finished lies in the work folder under a digest of what it was made from. So a lost worker costs the
partitions it was at, a lost scheduler nothing that was finished, and a job that is submitted again does what is
missing.
"""
