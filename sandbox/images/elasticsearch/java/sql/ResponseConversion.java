package essql;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Converts a response of 6.8 into one of 8: without helper columns, with the date types of 8, and with integer counts. */
final class ResponseConversion {
    private static final int CURSORS = 200;
    /** " did you mean [...]", whose names the client may not see. */
    private static final Pattern SUGGESTION = Pattern.compile(",? did you mean (any of )?\\[[^\\]]*" + Columns.HELPER + "[^\\]]*\\]\\??");

    /** The conversions of the columns, stored for later pages, which have no columns. */
    private record Shape(List<Integer> hidden, List<Integer> whole) {}

    private final Map<String, Shape> cursors = Collections.synchronizedMap(new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Shape> eldest) {
            return size() > CURSORS;
        }
    });

    /** Maps names in the rewritten statement to the text of the caller. */
    SqlReply reply(Engine.Response response, Map<String, String> names, String cursor) {
        if (response.type() == null || response.type().startsWith("application/json") == false) {
            return SqlReply.text(response.status(), response.text(), response.type());
        }
        Map<String, Object> json = response.map();
        if (response.status() == 200) {
            tidy(json, names, cursor);
        } else {
            tidyError(json, names);
        }
        return SqlReply.json(response.status(), json);
    }

    @SuppressWarnings("unchecked")
    private void tidy(Map<String, Object> json, Map<String, String> names, String cursor) {
        if (json.get("rows") instanceof List<?> == false) return;
        List<List<Object>> rows = (List<List<Object>>) json.get("rows");
        Shape shape = cursor == null ? null : cursors.remove(cursor);
        if (json.get("columns") instanceof List<?> columns) shape = tidyColumns((List<Map<String, Object>>) columns, rows, names);
        if (shape == null) return;
        for (List<Object> row : rows) {
            for (int i : shape.whole) if (row.get(i) instanceof Double d && d == Math.rint(d)) row.set(i, d.longValue());
            for (int i : shape.hidden) row.remove(i);
        }
        if (json.get("cursor") instanceof String next) cursors.put(next, shape);
    }

    private static Shape tidyColumns(List<Map<String, Object>> columns, List<List<Object>> rows, Map<String, String> names) {
        boolean describes = columns.size() == 3 && "column".equals(columns.get(0).get("name")) && "mapping".equals(columns.get(2).get("name"));
        if (describes) {
            rows.removeIf(row -> String.valueOf(row.get(0)).startsWith(Columns.HELPER));
            for (List<Object> row : rows) if ("date".equals(row.get(2))) row.set(2, "datetime");
        }
        List<Integer> hidden = new ArrayList<>(), whole = new ArrayList<>();
        for (int i = columns.size() - 1; i >= 0; i--) { // from the end, so that removing one moves no other
            Map<String, Object> column = columns.get(i);
            String name = withoutHelpers((String) column.get("name"), names);
            column.put("name", name);
            if ("date".equals(column.get("type"))) column.put("type", "datetime");
            // COUNT(DISTINCT x) is 240.0 in 6.8
            if ("long".equals(column.get("type")) || "integer".equals(column.get("type"))) whole.add(i);
            if (name.startsWith(Columns.HELPER)) {
                hidden.add(i);
                columns.remove(i);
            }
        }
        return new Shape(hidden, whole);
    }

    private static String withoutHelpers(String text, Map<String, String> names) {
        String result = names.getOrDefault(text, text);
        for (var entry : names.entrySet()) result = result.replace('"' + entry.getKey() + '"', entry.getValue());
        return result;
    }

    @SuppressWarnings("unchecked")
    private static void tidyError(Map<String, Object> json, Map<String, String> names) {
        json.replaceAll((key, value) -> {
            if (value instanceof String text) return SUGGESTION.matcher(withoutHelpers(text, names)).replaceAll("");
            if (value instanceof Map<?, ?> map) tidyError((Map<String, Object>) map, names);
            if (value instanceof List<?> list) list.forEach(e -> {
                if (e instanceof Map<?, ?> map) tidyError((Map<String, Object>) map, names);
            });
            return value;
        });
    }
}
