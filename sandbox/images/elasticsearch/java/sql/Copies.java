package essql;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.Lock;
import org.elasticsearch.action.fieldcaps.FieldCapabilitiesRequest;
import org.elasticsearch.action.support.IndicesOptions;
import org.elasticsearch.client.internal.Client;
import org.elasticsearch.client.internal.OriginSettingClient;
import org.elasticsearch.cluster.metadata.IndexMetadata;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.logging.LogManager;
import org.elasticsearch.logging.Logger;
import org.elasticsearch.threadpool.ThreadPool;

/**
 * The copies of this node in the engine, and the ones that a statement may use. After the first query a copy follows its
 * index, so that later queries do not wait for a copy of many documents.
 */
final class Copies {
    private static final Logger LOG = LogManager.getLogger(Copies.class);
    /** An origin whose user may read every index, because background work has no user. */
    private static final String INTERNAL = "transform";
    private static final TimeValue REST = TimeValue.timeValueSeconds(1);

    private final Engine engine;
    private final Client client;
    private final ClusterService cluster;
    private final Map<String, IndexCopy> copies = new ConcurrentHashMap<>();
    private final AtomicBoolean following = new AtomicBoolean();

    Copies(Engine engine, Client client, ClusterService cluster) {
        this.engine = engine;
        this.client = client;
        this.cluster = cluster;
    }

    /** The indices behind a name, an alias or a pattern that the caller may read. */
    List<String> visible(String expression) {
        FieldCapabilitiesRequest request = new FieldCapabilitiesRequest().indices(expression.split(",")).fields("_id")
            .indicesOptions(IndicesOptions.lenientExpandOpen());
        return Arrays.stream(client.fieldCaps(request).actionGet(TimeValue.timeValueMinutes(1)).getIndices()).sorted().toList();
    }

    /** The current copies of these indices. */
    TreeMap<String, IndexCopy> upToDate(List<String> names) throws IOException {
        dropDeleted();
        TreeMap<String, IndexCopy> used = new TreeMap<>();
        for (String name : names) {
            IndexMetadata metadata = cluster.state().metadata().index(name);
            if (metadata == null) continue;
            IndexCopy copy = copies.computeIfAbsent(name, n -> new IndexCopy(n, engine, client.threadPool().generic()));
            copy.bringUpToDate(client, metadata);
            used.put(name, copy);
        }
        if (used.isEmpty() == false && following.compareAndSet(false, true)) followLater(REST);
        return used;
    }

    /** Blocks changes of these copies during a query. The order of names prevents deadlocks. */
    static AutoCloseable hold(TreeMap<String, IndexCopy> used) {
        List<Lock> locks = new ArrayList<>();
        for (IndexCopy copy : used.values()) locks.add(copy.readLock());
        locks.forEach(Lock::lock);
        return () -> locks.forEach(Lock::unlock);
    }

    /** Pauses for the time that it worked, so that writers get most of the machine. */
    private void followLater(TimeValue rest) {
        ThreadPool threads = client.threadPool();
        try (var ignored = threads.getThreadContext().stashContext()) { // the context of the first query
            threads.schedule(() -> {
                long started = System.nanoTime();
                follow();
                long worked = System.nanoTime() - started;
                followLater(worked > REST.nanos() ? TimeValue.timeValueNanos(worked) : REST);
            }, rest, threads.generic());
        }
    }

    private void follow() {
        Client reader = new OriginSettingClient(client, INTERNAL);
        copies.forEach((name, copy) -> {
            IndexMetadata metadata = cluster.state().metadata().index(name);
            try {
                if (metadata != null && copy.isBehind(reader, metadata)) copy.bringUpToDate(reader, metadata);
            } catch (Exception e) {
                // The next query retries and reports the error.
                LOG.debug("[" + name + "] cannot be followed", e);
            }
        });
    }

    private void dropDeleted() throws IOException {
        for (String name : copies.keySet()) {
            if (cluster.state().metadata().index(name) != null) continue;
            IndexCopy copy = copies.remove(name);
            if (copy != null) copy.delete();
        }
    }
}
