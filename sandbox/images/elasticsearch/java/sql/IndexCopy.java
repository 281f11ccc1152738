package essql;

import essql.Snapshot.Print;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.elasticsearch.ElasticsearchStatusException;
import org.elasticsearch.client.internal.Client;
import org.elasticsearch.cluster.metadata.IndexMetadata;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.logging.LogManager;
import org.elasticsearch.logging.Logger;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.search.SearchHit;

/** The copy of one index in the engine: an alias with the name of the index, and an index of the engine behind the alias. */
final class IndexCopy {
    private static final Logger LOG = LogManager.getLogger(IndexCopy.class);
    private static final AtomicLong GENERATION = new AtomicLong();
    private static final int BULK_BYTES = 2 << 20;
    /** The number of concurrent requests */
    private static final int BULKS = 2;

    private final String index;
    private final Engine engine;
    private final Executor threads;
    /** Statements run under the read lock, so they see a copy before or after a change, never during one. */
    private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock(true);

    private String target; // the engine's index
    private String uuid;
    private long mappingVersion;
    private Print print; // null: the copy is not usable
    private volatile Columns columns;

    IndexCopy(String index, Engine engine, Executor threads) {
        this.index = index;
        this.engine = engine;
        this.threads = threads;
    }

    Columns columns() {
        return columns;
    }

    Lock readLock() {
        return lock.readLock();
    }

    /** Waits for a running copy, then copies the missing documents with the rights of the client. */
    void bringUpToDate(Client reader, IndexMetadata metadata) throws IOException {
        boolean severalShards = metadata.getNumberOfShards() > 1;
        Print now = Snapshot.print(reader, index, severalShards);
        lock.readLock().lock();
        try {
            if (isOf(metadata, now) && isInEngine()) return;
        } finally {
            lock.readLock().unlock();
        }
        lock.writeLock().lock();
        try {
            if (isOf(metadata, now) == false || isInEngine() == false) update(reader, metadata, severalShards);
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** Whether the index changed since the copy, without a request to the engine. */
    boolean isBehind(Client reader, IndexMetadata metadata) {
        Print now = Snapshot.print(reader, index, metadata.getNumberOfShards() > 1);
        lock.readLock().lock();
        try {
            return isOf(metadata, now) == false;
        } finally {
            lock.readLock().unlock();
        }
    }

    void delete() throws IOException {
        lock.writeLock().lock();
        try {
            if (target != null) engine.call("DELETE", "/" + Engine.encode(target));
            print = null;
        } finally {
            lock.writeLock().unlock();
        }
    }

    private boolean isOf(IndexMetadata metadata, Print now) {
        return now.equals(print) && metadata.getIndexUUID().equals(uuid) && metadata.getMappingVersion() == mappingVersion;
    }

    /** A restarted engine has no copies. */
    private boolean isInEngine() {
        return engine.call("HEAD", "/" + Engine.encode(index)).status() == 200;
    }

    private void update(Client reader, IndexMetadata metadata, boolean severalShards) throws IOException {
        long started = System.nanoTime();
        try (Snapshot snapshot = new Snapshot(reader, index)) {
            Print now = snapshot.print(severalShards);
            Columns wanted = new Columns(metadata.mapping() == null ? Map.of() : metadata.mapping().sourceAsMap());
            long copied = severalShards ? -1 : addNew(snapshot, now, metadata, wanted);
            boolean all = copied < 0;
            if (all) copied = copyAll(snapshot, metadata, wanted);
            columns = wanted;
            uuid = metadata.getIndexUUID();
            mappingVersion = metadata.getMappingVersion();
            print = now;
            LOG.info("copied {} of the {} documents of [{}] for SQL in {} ms{}", copied, now.documents(), index,
                (System.nanoTime() - started) / 1_000_000, all ? ", all anew" : "");
        }
    }

    /** Adds the documents that were written since the last copy. Returns -1 if documents were deleted, which needs a full copy. */
    private long addNew(Snapshot snapshot, Print now, IndexMetadata metadata, Columns wanted) throws IOException {
        if (print == null || metadata.getIndexUUID().equals(uuid) == false || now.documents() < print.documents() || isInEngine() == false) return -1;
        if (metadata.getMappingVersion() != mappingVersion
            && engine.call("PUT", "/" + Engine.encode(target) + "/_mapping/_doc", wanted.engineMapping()).status() != 200) return -1;
        long copied = copy(snapshot, metadata, wanted, print.highest());
        Number documents = (Number) engine.call("GET", "/" + Engine.encode(target) + "/_count").orFail().map().get("count");
        return documents.longValue() == now.documents() ? copied : -1;
    }

    private long copyAll(Snapshot snapshot, IndexMetadata metadata, Columns wanted) throws IOException {
        String before = print == null ? null : target;
        print = null;
        target = index + "--" + GENERATION.incrementAndGet();
        try {
            Map<String, Object> settings = new HashMap<>(SETTINGS);
            // the normalizers of its columns
            Settings analysis = metadata.getSettings().filter(key -> key.startsWith("index.analysis."));
            for (String key : analysis.keySet()) {
                List<String> values = analysis.getAsList(key, List.of(), false);
                settings.put(key, values.size() == 1 ? values.get(0) : values);
            }
            engine.call("PUT", "/" + Engine.encode(target), Map.of("settings", settings, "mappings", Map.of("_doc", wanted.engineMapping()))).orFail();
            long copied = copy(snapshot, metadata, wanted, -1);
            List<Map<String, ?>> actions = new ArrayList<>();
            actions.add(Map.of("add", Map.of("index", target, "alias", index)));
            if (before != null && isInEngine()) actions.add(Map.of("remove_index", Map.of("index", before)));
            engine.call("POST", "/_aliases", Map.of("actions", actions)).orFail();
            return copied;
        } catch (RuntimeException | IOException e) {
            engine.call("DELETE", "/" + Engine.encode(target) + (before == null ? "" : "," + Engine.encode(before)));
            throw e;
        }
    }

    private static final Map<String, Object> SETTINGS = Map.of("number_of_shards", 1, "number_of_replicas", 0, "refresh_interval", "-1",
        "index.translog.durability", "async", "index.translog.sync_interval", "30s", "index.mapping.total_fields.limit", 20_000,
        "index.max_docvalue_fields_search", 5_000, "index.mapping.depth.limit", 100);

    private long copy(Snapshot snapshot, IndexMetadata metadata, Columns wanted, long after) throws IOException {
        Document document = new Document(wanted);
        Sender sender = new Sender();
        ByteArrayOutputStream lines = new ByteArrayOutputStream(BULK_BYTES);
        int mostColumns = IndexSettings.MAX_DOCVALUE_FIELDS_SEARCH_SETTING.get(metadata.getSettings());
        long documents;
        try {
            documents = snapshot.read(wanted.all, mostColumns, after, hits -> {
                for (List<SearchHit> parts : hits) {
                    document.write(parts, lines);
                    if (lines.size() >= BULK_BYTES) sender.submit(lines);
                }
                if (lines.size() > 0) sender.submit(lines);
            });
        } finally {
            sender.await();
        }
        engine.call("POST", "/" + Engine.encode(target) + "/_refresh").orFail();
        return documents;
    }

    /** Indexes some pages in the engine while it reads the next one. */
    private final class Sender {
        private final ArrayDeque<Future<?>> underWay = new ArrayDeque<>();

        void submit(ByteArrayOutputStream lines) {
            byte[] body = lines.toByteArray();
            lines.reset();
            while (underWay.size() >= BULKS) wait(underWay.remove());
            FutureTask<Void> task = new FutureTask<>(() -> send(body), null);
            threads.execute(task);
            underWay.add(task);
        }

        void await() {
            while (underWay.isEmpty() == false) wait(underWay.remove());
        }

        private static void wait(Future<?> task) {
            try {
                task.get();
            } catch (ExecutionException e) {
                throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException(e);
            }
        }

        private void send(byte[] body) {
            String path = "/" + Engine.encode(target) + "/_doc/_bulk?filter_path=errors,items.*.error";
            Map<String, Object> response = engine.call("POST", path, "application/x-ndjson", body).orFail().map();
            if (Boolean.TRUE.equals(response.get("errors"))) {
                String items = String.valueOf(response.get("items"));
                throw new ElasticsearchStatusException("the SQL engine rejected documents of [" + index + "]: "
                    + items.substring(0, Math.min(600, items.length())), RestStatus.INTERNAL_SERVER_ERROR);
            }
        }
    }
}
