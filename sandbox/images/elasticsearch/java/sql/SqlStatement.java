package essql;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** One statement: the tables that it names, and the expressions that 6.8 needs in another form. */
final class SqlStatement {
    private final SqlTokens tokens;
    /** Inserted helper columns and expressions, and the text that they replace. The engine uses them as column names in its response. */
    private final Map<String, String> replaced = new HashMap<>();

    SqlStatement(String sql) {
        tokens = new SqlTokens(sql);
    }

    boolean isShowTables() {
        int first = tokens.next(-1);
        return tokens.is(first, "SHOW") && tokens.is(tokens.next(first), "TABLES");
    }

    /** The pattern of LIKE, or null. */
    Pattern like() {
        for (int i = 0; i < tokens.size(); i++) {
            if (tokens.is(i, "LIKE") == false) continue;
            StringBuilder regex = new StringBuilder();
            for (char c : tokens.text(tokens.next(i)).toCharArray()) {
                regex.append(c == '%' ? ".*" : c == '_' ? "." : Pattern.quote(String.valueOf(c)));
            }
            return Pattern.compile(regex.toString());
        }
        return null;
    }

    /** The positions of table names. */
    List<Integer> tables() {
        List<Integer> found = new ArrayList<>();
        int first = tokens.next(-1);
        if (tokens.isOneOf(first, "DESCRIBE", "DESC")) {
            int table = tokens.next(first);
            if (tokens.is(table, "TABLE")) table = tokens.next(table);
            if (table < tokens.size() && tokens.is(table, "LIKE") == false) found.add(table);
        }
        boolean show = tokens.is(first, "SHOW");
        for (int i = 0; i < tokens.size(); i++) {
            if (tokens.is(i, "FROM") == false && (show && tokens.is(i, "IN")) == false) continue;
            int open = tokens.previous(tokens.previous(i));
            if (tokens.is(open, "(") && tokens.is(tokens.previous(open), "EXTRACT")) continue;
            int table = tokens.next(i);
            if (table < tokens.size() && tokens.isOneOf(table, "(", "LIKE") == false) found.add(table);
        }
        return found;
    }

    String table(int position) {
        return tokens.text(position);
    }

    void replaceTable(int position, List<String> indices) {
        tokens.replace(position, position + 1, '"' + String.join(",", indices) + '"');
    }

    Map<String, String> replaced() {
        return replaced;
    }

    boolean usesTruncatedDates() {
        return replaced.keySet().stream().anyMatch(h -> h.startsWith(Columns.HELPER) && h.startsWith(Columns.asNumber("")) == false);
    }

    void rewrite(Collection<Columns> tables) {
        for (int i = 0; i < tokens.size(); i++) {
            int open = tokens.next(i), close = tokens.closing(open);
            if (close < 0) continue;
            if (tokens.is(i, "CAST")) rewriteCast(i, open, close, tables);
            if (tokens.is(i, "YEAR") || (tokens.is(i, "EXTRACT") && tokens.is(tokens.next(open), "YEAR"))) keepYear(i, close);
            if (tokens.is(i, "HISTOGRAM")) rewriteHistogram(i, open, close, tables);
            if (tokens.isOneOf(i, "DATE_TRUNC", "DATETRUNC")) rewriteTruncation(i, open, close, tables);
            if (tokens.is(i, "DATETIME_PARSE")) rewriteParse(i, open, close);
        }
    }

    /** A cast of a date to DATE is its day in 8; 6.8 keeps the time. A boolean as number is 0 or 1, a date its milliseconds; 6.8 rejects these casts. */
    private void rewriteCast(int i, int open, int close, Collection<Columns> tables) {
        int type = tokens.previous(close), as = tokens.previous(type);
        if (tokens.is(as, "AS") == false) return;
        if (tokens.is(type, "DATE")) {
            String date = column(open + 1, as, "date", tables);
            if (date != null) put(i, close, Columns.truncated(date, Grain.DAY));
        } else if (tokens.isOneOf(type, "INT", "INTEGER", "LONG", "BIGINT", "SMALLINT", "TINYINT", "DOUBLE", "FLOAT")) {
            String column = column(open + 1, as, "boolean", tables);
            if (column == null && tokens.isOneOf(type, "LONG", "BIGINT")) column = column(open + 1, as, "date", tables);
            if (column != null) put(i, close, Columns.asNumber(column));
        }
    }

    /** 6.8 groups YEAR(x) by 365 days, unless it is an argument. */
    private void keepYear(int i, int close) {
        String written = tokens.written(i, close + 1);
        tokens.replace(i, i + 1, "ABS(" + tokens.text(i));
        tokens.replace(close, close + 1, "))");
        replaced.putIfAbsent("ABS(" + written + ")", written);
    }

    /** HISTOGRAM(x, INTERVAL 1 MONTH): months and years have 30 and 365 days in 6.8. */
    private void rewriteHistogram(int i, int open, int close, Collection<Columns> tables) {
        int comma = -1;
        for (int k = open; k < close; k++) if (tokens.is(k, ",")) comma = k;
        if (comma < 0) return;
        int interval = tokens.next(comma), count = tokens.next(interval), unit = tokens.next(count);
        if (tokens.is(interval, "INTERVAL") == false || tokens.text(count).equals("1") == false || tokens.next(unit) != close) return;
        Grain grain = Grain.named(tokens.text(unit));
        String date = column(open + 1, comma, "date", tables);
        if (date != null && (grain == Grain.MONTH || grain == Grain.YEAR)) put(i, close, Columns.truncated(date, grain));
    }

    private void rewriteTruncation(int i, int open, int close, Collection<Columns> tables) {
        int unit = tokens.next(open), comma = tokens.next(unit);
        if (tokens.isString(unit) == false || tokens.is(comma, ",") == false) return;
        Grain grain = Grain.named(tokens.text(unit));
        String date = column(comma + 1, close, "date", tables);
        if (grain != null && date != null) put(i, close, Columns.truncated(date, grain));
    }

    /** DATETIME_PARSE('2026-01-31 08:00:00', 'yyyy-MM-dd HH:mm:ss'): 6.8 reads only dates with a T. */
    private void rewriteParse(int i, int open, int close) {
        int text = tokens.next(open), comma = tokens.next(text), pattern = tokens.next(comma);
        if (tokens.isString(text) && tokens.is(comma, ",") && tokens.text(pattern).equals("yyyy-MM-dd HH:mm:ss") && tokens.next(pattern) == close) {
            tokens.replace(i, close + 1, "CAST('" + tokens.text(text).replace(' ', 'T') + "' AS DATETIME)");
        }
    }

    /** The column of a type that the tokens name, with or without a table; null for other tokens. */
    private String column(int from, int to, String type, Collection<Columns> tables) {
        String name = tokens.joined(from, to);
        String withoutTable = name.substring(name.indexOf('.') + 1);
        for (Columns table : tables) {
            String column = table.named(name, type);
            if (column == null) column = table.named(withoutTable, type);
            if (column != null) return column;
        }
        return null;
    }

    private void put(int from, int close, String helper) {
        replaced.putIfAbsent(helper, tokens.written(from, close + 1));
        tokens.replace(from, close + 1, '"' + helper + '"');
    }

    @Override
    public String toString() {
        return tokens.toString();
    }
}
