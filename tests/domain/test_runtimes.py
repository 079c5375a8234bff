"""What flags and variables tell a runtime that it may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain.runtimes import Runtime, largest, told_runtime

MIB, GIB = 2**20, 2**30


@pytest.mark.parametrize(
    ("environment", "line", "expected"),
    [
        ({"JAVA_TOOL_OPTIONS": "-Xms1g -Xmx3g"}, "", ("Java", 3 * GIB)),
        ({"ES_JAVA_OPTS": "-Xmx2048m"}, "", ("Java", 2 * GIB)),
        ({"KAFKA_HEAP_OPTS": "-Xmx1G -Xms1G"}, "", ("Java", GIB)),
        ({"MAX_HEAP_SIZE": "4G"}, "", ("Java", 4 * GIB)),
        ({}, "java -Xmx1073741824 -jar app.jar", ("Java", GIB)),
        ({}, "java -XX:MaxHeapSize=2g -jar app.jar", ("Java", 2 * GIB)),
        ({}, "java -Xmx512m -Xmx1024m -jar app.jar", ("Java", GIB)),  # the last one counts
        ({"JAVA_OPTS": "-Xmx1g"}, "java -Xmx3g -jar app.jar", ("Java", 3 * GIB)),
        ({"JAVA_OPTS": "-Xmx3g -XX:MaxDirectMemorySize=1g"}, "", ("Java", 4 * GIB)),
        ({"NODE_OPTIONS": "--max-old-space-size=3072 --trace-warnings"}, "", ("Node.js", 3 * GIB)),
        ({}, "node --max_old_space_size 2048 server.js", ("Node.js", 2 * GIB)),
        ({"GOMEMLIMIT": "3GiB"}, "", ("Go", 3 * GIB)),
        ({"GOMEMLIMIT": "1073741824"}, "", ("Go", GIB)),
        ({"DOTNET_GCHeapHardLimit": "0xC0000000"}, "", (".NET", 3 * GIB)),
        ({"COMPlus_GCHeapHardLimit": "40000000"}, "", (".NET", GIB)),
        ({}, "redis-server --maxmemory 2gb --maxmemory-policy allkeys-lru", ("Redis", 2 * GIB)),
        ({"REDIS_EXTRA_FLAGS": "--maxmemory 512mb"}, "", ("Redis", 512 * MIB)),
        ({}, "memcached -m 1024 -c 2048", ("memcached", GIB)),
        ({}, "mysqld --innodb-buffer-pool-size=4G", ("MySQL", 4 * GIB)),
        ({}, "postgres -c shared_buffers=2GB -c work_mem=64MB", ("PostgreSQL", 2 * GIB)),
        ({}, "mongod --wiredTigerCacheSizeGB 1.5", ("MongoDB", 1536 * MIB)),
        ({}, "varnishd -s malloc,2G", ("Varnish", 2 * GIB)),
        ({}, "victoria-metrics -memory.allowedBytes=2GiB", ("VictoriaMetrics", 2 * GIB)),
    ],
)
def test_what_a_runtime_may_take_is_read_from_its_flags_and_variables(
    environment: dict[str, str], line: str, expected: tuple[str, int]
) -> None:
    found = told_runtime("shop/api:1", environment, line)
    assert found is not None
    assert (found.name, found.most_bytes) == expected


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"JAVA_OPTS": "-XX:MaxRAMPercentage=75"}, "java -jar app.jar"),  # a share of the limit is nothing fixed
        ({"GOMEMLIMIT": "off"}, ""),
        ({"GOMEMLIMIT": "9223372036854775807"}, ""),
        ({"HEAP": "large", "MAX_UPLOAD": "3g"}, "/api --max-size=3g"),
        ({}, "redis-server --maxmemory 0"),
        ({}, "tail -m 1024"),  # whose flag that is, only an image or a command of memcached tells
        ({}, ""),
    ],
)
def test_what_tells_nothing_fixed_is_no_runtime(environment: dict[str, str], line: str) -> None:
    assert told_runtime("shop/api:1", environment, line) is None


def test_only_the_flag_itself_is_shown_of_a_variable() -> None:
    found = told_runtime("", {"JAVA_OPTS": "-Dpassword=secret -Xmx2g -Dtoken=secret"}, "")
    assert found is not None
    assert found.told_by == "-Xmx2g in JAVA_OPTS"
    odd = told_runtime("", {"a\nb": "-Xmx2g"}, "")
    assert odd is not None
    assert odd.told_by == "-Xmx2g in a variable"


def test_a_container_needs_more_than_its_runtime_may_take_and_back_again() -> None:
    for name in ("Java", "Go", "Redis"):
        needed = Runtime(name, GIB).container_bytes
        assert needed is not None
        assert needed > GIB
        assert Runtime(name).most_within(needed) == pytest.approx(GIB)
    assert Runtime("Java").container_bytes is None


def test_of_several_the_one_that_may_take_most_counts() -> None:
    assert largest([Runtime("Java"), None, Runtime("Java", 5), Runtime("Java", 3)]) == Runtime("Java", 5)
    assert largest([None]) is None


@given(
    st.text(max_size=40), st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=3), st.text(max_size=60)
)
def test_any_text_is_read_without_an_error(image: str, environment: dict[str, str], line: str) -> None:
    found = told_runtime(image, environment, line)
    assert found is None or (found.most_bytes or 0) > 0
