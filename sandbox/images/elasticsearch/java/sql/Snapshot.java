package essql;

import essql.Columns.Column;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.elasticsearch.action.search.ClosePointInTimeRequest;
import org.elasticsearch.action.search.OpenPointInTimeRequest;
import org.elasticsearch.action.search.SearchRequest;
import org.elasticsearch.action.search.SearchResponse;
import org.elasticsearch.action.search.TransportClosePointInTimeAction;
import org.elasticsearch.action.search.TransportOpenPointInTimeAction;
import org.elasticsearch.client.internal.Client;
import org.elasticsearch.common.bytes.BytesReference;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.index.query.QueryBuilders;
import org.elasticsearch.search.SearchHit;
import org.elasticsearch.search.aggregations.AggregationBuilders;
import org.elasticsearch.search.aggregations.metrics.Max;
import org.elasticsearch.search.aggregations.metrics.Sum;
import org.elasticsearch.search.builder.PointInTimeBuilder;
import org.elasticsearch.search.builder.SearchSourceBuilder;
import org.elasticsearch.search.sort.SortBuilders;

/** The state of an index at one moment, read with the rights of the caller. Later writes do not affect it. */
final class Snapshot implements AutoCloseable {
    private static final TimeValue KEEP = TimeValue.timeValueMinutes(2);
    private static final int PAGE = 1_000;

    private final Client client;
    private BytesReference id;

    Snapshot(Client client, String index) {
        this.client = client;
        this.id = client.execute(TransportOpenPointInTimeAction.TYPE, new OpenPointInTimeRequest(index).keepAlive(KEEP)).actionGet().getPointInTimeId();
    }

    /**
     * Detects changes of an index. A new or changed document has the highest sequence number of its shard, and a deleted
     * one reduces the count. Sequence numbers of shards are independent, so the sum over the shards decides.
     */
    record Print(long documents, long highest, double sum) {}

    Print print(boolean severalShards) {
        return print(client, new SearchRequest().source(source(severalShards).pointInTimeBuilder(pointInTime())));
    }

    /** The same for the current state of the index, without keeping it. */
    static Print print(Client client, String index, boolean severalShards) {
        return print(client, new SearchRequest(index).source(source(severalShards)).requestCache(false));
    }

    private static SearchSourceBuilder source(boolean severalShards) {
        SearchSourceBuilder source = new SearchSourceBuilder().size(0).trackTotalHits(true).aggregation(AggregationBuilders.max("highest").field("_seq_no"));
        return severalShards ? source.aggregation(AggregationBuilders.sum("sum").field("_seq_no")) : source;
    }

    private static Print print(Client client, SearchRequest request) {
        SearchResponse response = client.search(request.allowPartialSearchResults(false)).actionGet();
        try {
            long documents = response.getHits().getTotalHits().value;
            Max highest = response.getAggregations().get("highest");
            Sum sum = response.getAggregations().get("sum");
            return new Print(documents, documents == 0 ? -1 : (long) highest.value(), sum == null ? 0 : sum.value());
        } finally {
            response.decRef();
        }
    }

    /** Receives a page. A document is one hit, or several if it has more columns than a search can request. */
    interface Page {
        void accept(List<List<SearchHit>> documents) throws IOException;
    }

    /** Reads all documents that were written after a sequence number, -1 for all. Returns how many. */
    long read(List<Column> columns, int mostColumns, long after, Page page) throws IOException {
        List<List<Column>> groups = new ArrayList<>();
        for (int i = 0; i == 0 || i < columns.size(); i += mostColumns) groups.add(columns.subList(i, Math.min(columns.size(), i + mostColumns)));
        long documents = 0;
        Object[] last = null;
        while (true) {
            List<SearchResponse> responses = new ArrayList<>();
            try {
                for (List<Column> group : groups) responses.add(search(group, after, last));
                SearchHit[] first = responses.get(0).getHits().getHits();
                if (first.length == 0) return documents;
                List<List<SearchHit>> hits = new ArrayList<>(first.length);
                for (int i = 0; i < first.length; i++) {
                    List<SearchHit> parts = new ArrayList<>(responses.size());
                    for (SearchResponse response : responses) parts.add(response.getHits().getHits()[i]);
                    hits.add(parts);
                }
                page.accept(hits);
                documents += first.length;
                last = first[first.length - 1].getSortValues();
            } finally {
                responses.forEach(SearchResponse::decRef);
            }
        }
    }

    private SearchResponse search(List<Column> columns, long after, Object[] last) {
        SearchSourceBuilder source = new SearchSourceBuilder().size(PAGE).fetchSource(false).trackTotalHits(false).pointInTimeBuilder(pointInTime())
            .sort(SortBuilders.pitTiebreaker());
        if (after >= 0) source.query(QueryBuilders.rangeQuery("_seq_no").gt(after));
        if (last != null) source.searchAfter(last);
        for (Column column : columns) source.docValueField(column.source(), column.type().equals("date") ? "epoch_millis" : null);
        SearchResponse response = client.search(new SearchRequest().source(source).allowPartialSearchResults(false)).actionGet();
        id = response.pointInTimeId();
        return response;
    }

    private PointInTimeBuilder pointInTime() {
        return new PointInTimeBuilder(id).setKeepAlive(KEEP);
    }

    @Override
    public void close() {
        client.execute(TransportClosePointInTimeAction.TYPE, new ClosePointInTimeRequest(id)).actionGet();
    }
}
