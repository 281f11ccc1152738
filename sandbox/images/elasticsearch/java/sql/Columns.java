package essql;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The columns of an index: the leaves of its mapping that have doc values. Doc values hold the indexed values, while the source
 * of a document can hold anything. Other fields are unknown columns, so that a query fails instead of returning wrong results:
 * text without a keyword subfield, nested and flattened fields, geo fields, ranges and fields without doc values.
 */
final class Columns {
    private static final Map<String, String> TYPES = Map.ofEntries(
        Map.entry("keyword", "keyword"), Map.entry("wildcard", "keyword"), Map.entry("constant_keyword", "keyword"), Map.entry("version", "keyword"),
        Map.entry("text", "text"), Map.entry("match_only_text", "text"),
        Map.entry("long", "long"), Map.entry("integer", "integer"), Map.entry("short", "short"), Map.entry("byte", "byte"),
        Map.entry("double", "double"), Map.entry("float", "float"), Map.entry("half_float", "half_float"), Map.entry("scaled_float", "double"),
        Map.entry("boolean", "boolean"), Map.entry("date", "date"), Map.entry("date_nanos", "date"), Map.entry("ip", "ip")
    );
    /** The prefix of helper columns, which only the engine knows. */
    static final String HELPER = "engine__";
    /** The types that have a helper column with numbers. */
    static final Set<String> CASTS = Set.of("boolean", "date");
    /** Parses values of documents and of comparisons. */
    private static final String DATE_FORMAT = "strict_date_optional_time||epoch_millis||date_optional_time";
    private static final String TRUNCATED_FORMAT = "epoch_millis||date_optional_time";

    /** A leaf: its type in the engine, the field with its doc values, and its multi-fields in the engine. */
    record Column(String name, String type, String source, Map<String, Map<String, Object>> fields) {}

    final List<Column> all = new ArrayList<>();
    private final Map<String, String> aliases = new TreeMap<>();
    private final Map<String, String> types = new TreeMap<>();

    Columns(Map<String, Object> mapping) {
        collect(mapping, "");
        all.removeIf(c -> isBelowAnother(c.name));
        all.forEach(c -> types.put(c.name, c.type));
        aliases.values().removeIf(path -> types.containsKey(path) == false);
        aliases.keySet().removeIf(name -> types.containsKey(name) || isBelowAnother(name));
    }

    /** The date or boolean of a name or an alias; null for other types. */
    String named(String name, String type) {
        String column = aliases.getOrDefault(name, name);
        return type.equals(types.get(column)) ? column : null;
    }

    static String truncated(String date, Grain grain) {
        return helper(grain.name().toLowerCase(java.util.Locale.ROOT), date);
    }

    /** The helper column: 0 and 1 for a boolean, milliseconds for a date. It replaces casts that 8 has and 6.8 lacks. */
    static String asNumber(String column) {
        return helper("number", column);
    }

    private static String helper(String what, String column) {
        return HELPER + what + "__" + column.replace("_", "_u").replace(".", "_d");
    }

    /** The mapping of the copy. The engine expands names with dots into objects. */
    Map<String, Object> engineMapping() {
        Map<String, Object> properties = new LinkedHashMap<>();
        for (Column column : all) {
            Map<String, Object> field = new LinkedHashMap<>();
            field.put("type", column.type);
            if (column.fields.isEmpty() == false) field.put("fields", column.fields);
            if (column.type.equals("date")) {
                field.put("format", DATE_FORMAT);
                for (Grain grain : Grain.values()) properties.put(truncated(column.name, grain), Map.of("type", "date", "format", TRUNCATED_FORMAT));
            }
            if (CASTS.contains(column.type)) properties.put(asNumber(column.name), Map.of("type", "long"));
            properties.put(column.name, field);
        }
        aliases.forEach((name, path) -> properties.put(name, Map.of("type", "alias", "path", path)));
        Map<String, Object> mapping = new LinkedHashMap<>();
        mapping.put("dynamic", false);
        mapping.put("properties", properties);
        return mapping;
    }

    @SuppressWarnings("unchecked")
    private void collect(Map<String, Object> object, String prefix) {
        if (object.get("properties") instanceof Map<?, ?> == false) return;
        ((Map<String, Map<String, Object>>) object.get("properties")).forEach((key, field) -> {
            String name = prefix + key;
            String type = (String) field.getOrDefault("type", "object");
            if (type.equals("object") || type.equals("passthrough")) {
                if (isFalse(field.get("enabled")) == false) collect(field, name + ".");
            } else if (canBeNamed(name) == false) {
                return;
            } else if (type.equals("alias")) {
                aliases.put(name, (String) field.get("path"));
            } else if (TYPES.containsKey(type)) {
                leaf(name, type, field);
            }
        });
    }

    @SuppressWarnings("unchecked")
    private void leaf(String name, String type, Map<String, Object> field) {
        Map<String, Map<String, Object>> fields = new TreeMap<>();
        String source = hasDocValues(type, field) ? name : null;
        for (var sub : ((Map<String, Map<String, Object>>) field.getOrDefault("fields", Map.of())).entrySet()) {
            String subType = (String) sub.getValue().get("type");
            String engineType = TYPES.get(subType);
            if ("keyword".equals(engineType) == false && "text".equals(engineType) == false) continue;
            Object normalizer = sub.getValue().get("normalizer");
            fields.put(sub.getKey(), normalizer == null ? Map.of("type", engineType) : Map.of("type", engineType, "normalizer", normalizer));
            if (source == null && hasDocValues(subType, sub.getValue())) source = name + "." + sub.getKey();
        }
        if (source != null) all.add(new Column(name, TYPES.get(type), source, fields));
    }

    private static boolean hasDocValues(String type, Map<String, Object> field) {
        return "text".equals(TYPES.get(type)) == false && isFalse(field.get("doc_values")) == false;
    }

    /** The engine does not allow a field below a field that is not an object. */
    private boolean isBelowAnother(String name) {
        return all.stream().anyMatch(c -> name.startsWith(c.name + "."));
    }

    private static boolean canBeNamed(String name) {
        for (String part : name.split("\\.", -1)) if (part.isBlank()) return false;
        return name.startsWith(HELPER) == false;
    }

    private static boolean isFalse(Object value) {
        return "false".equals(String.valueOf(value));
    }
}
