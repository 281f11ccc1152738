package essql;

import essql.Columns.Column;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.document.DocumentField;
import org.elasticsearch.search.SearchHit;

/** Writes the documents of a copy, as lines of a bulk request, from the doc values of hits. */
final class Document {
    private static final byte[] END = "}\n".getBytes(StandardCharsets.UTF_8);
    private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.UTF_8);
    /** The engine reads at most 13 digits as milliseconds, which is up to the year 2286. */
    private static final long MOST_MILLIS = 9_999_999_999_999L;

    private record Key(Column column, byte[] key, List<byte[]> helperKeys) {}

    private final List<Key> keys = new ArrayList<>();

    Document(Columns columns) {
        for (Column column : columns.all) {
            List<byte[]> helpers = new ArrayList<>();
            if (column.type().equals("date")) for (Grain grain : Grain.values()) helpers.add(key(Columns.truncated(column.name(), grain)));
            if (Columns.CASTS.contains(column.type())) helpers.add(key(Columns.asNumber(column.name())));
            keys.add(new Key(column, key(column.name()), helpers));
        }
    }

    /** The hits are the same document, each with the doc values of some columns. */
    void write(List<SearchHit> parts, ByteArrayOutputStream out) {
        out.writeBytes("{\"index\":{\"_id\":".getBytes(StandardCharsets.UTF_8));
        string(parts.get(0).getId(), out);
        out.writeBytes("}}\n".getBytes(StandardCharsets.UTF_8));
        char before = '{';
        for (Key key : keys) {
            List<Object> values = values(parts, key.column.source());
            if (values == null) continue;
            out.write(before);
            before = ',';
            switch (key.column.type()) {
                case "date" -> date(key, values, out);
                case "boolean" -> flag(key, values, out);
                default -> array(key.key, values, out);
            }
        }
        if (before == '{') out.write('{');
        out.writeBytes(END);
    }

    private static List<Object> values(List<SearchHit> parts, String field) {
        for (SearchHit part : parts) {
            DocumentField found = part.field(field);
            if (found != null && found.getValues().isEmpty() == false) return found.getValues();
        }
        return null;
    }

    private static void date(Key key, List<Object> values, ByteArrayOutputStream out) {
        List<Long> millis = new ArrayList<>(values.size());
        for (Object value : values) millis.add(new BigDecimal(value.toString()).setScale(0, RoundingMode.FLOOR).longValueExact());
        moments(key.key, millis, out);
        for (Grain grain : Grain.values()) {
            out.write(',');
            moments(key.helperKeys.get(grain.ordinal()), millis.stream().map(grain::truncate).toList(), out);
        }
        out.write(',');
        array(key.helperKeys.get(Grain.values().length), millis, out);
    }

    private static void moments(byte[] key, List<Long> millis, ByteArrayOutputStream out) {
        array(key, millis.stream().map(m -> Math.abs(m) <= MOST_MILLIS ? m : Instant.ofEpochMilli(m).toString()).toList(), out);
    }

    private static void flag(Key key, List<Object> values, ByteArrayOutputStream out) {
        array(key.key, values, out);
        out.write(',');
        array(key.helperKeys.get(0), values.stream().map(v -> Boolean.TRUE.equals(v) ? 1 : 0).toList(), out);
    }

    private static void array(byte[] key, List<?> values, ByteArrayOutputStream out) {
        out.writeBytes(key);
        if (values.size() == 1) {
            value(values.get(0), out);
            return;
        }
        char before = '[';
        for (Object value : values) {
            out.write(before);
            before = ',';
            value(value, out);
        }
        out.write(']');
    }

    private static void value(Object value, ByteArrayOutputStream out) {
        if (value instanceof Number || value instanceof Boolean) out.writeBytes(value.toString().getBytes(StandardCharsets.US_ASCII));
        else string(value.toString(), out);
    }

    private static byte[] key(String name) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        string(name, out);
        out.write(':');
        return out.toByteArray();
    }

    private static void string(String value, ByteArrayOutputStream out) {
        out.write('"');
        for (byte b : value.getBytes(StandardCharsets.UTF_8)) {
            if (b == '"' || b == '\\') {
                out.write('\\');
                out.write(b);
            } else if (b >= 0 && b < ' ') {
                out.writeBytes(new byte[] { '\\', 'u', '0', '0', HEX[b >> 4], HEX[b & 15] });
            } else {
                out.write(b);
            }
        }
        out.write('"');
    }
}
