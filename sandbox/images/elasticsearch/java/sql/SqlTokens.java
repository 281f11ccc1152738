package essql;

import java.util.ArrayList;
import java.util.List;

/** A statement as tokens: names, literals, operators and the text between them. Tokens can be replaced without a change of the rest. */
final class SqlTokens {
    private final List<String> tokens = new ArrayList<>();

    SqlTokens(String sql) {
        for (int i = 0, end; i < sql.length(); i = end) {
            end = endOfToken(sql, i);
            tokens.add(sql.substring(i, end));
        }
    }

    private static int endOfToken(String sql, int start) {
        int length = sql.length(), i = start + 1;
        char c = sql.charAt(start);
        if (c == '\'' || c == '"' || c == '`') {
            // a doubled quote is a quote
            while (i < length && (sql.charAt(i) != c || (i + 1 < length && sql.charAt(i + 1) == c && ++i > 0))) i++;
            return Math.min(length, i + 1);
        }
        if (sql.startsWith("--", start)) {
            int line = sql.indexOf('\n', start);
            return line < 0 ? length : line;
        }
        if (sql.startsWith("/*", start)) {
            int comment = sql.indexOf("*/", start + 2);
            return comment < 0 ? length : comment + 2;
        }
        if (Character.isWhitespace(c)) {
            while (i < length && Character.isWhitespace(sql.charAt(i))) i++;
        } else if (isNamePart(c)) {
            while (i < length && (isNamePart(sql.charAt(i)) || sql.charAt(i) == '.')) i++;
        }
        return i;
    }

    private static boolean isNamePart(char c) {
        return Character.isLetterOrDigit(c) || c == '_' || c == '@';
    }

    int size() {
        return tokens.size();
    }

    boolean is(int i, String word) {
        return i >= 0 && i < size() && tokens.get(i).equalsIgnoreCase(word);
    }

    boolean isOneOf(int i, String... words) {
        for (String word : words) if (is(i, word)) return true;
        return false;
    }

    private boolean isBlank(int i) {
        String token = tokens.get(i);
        return token.isBlank() || token.startsWith("--") || token.startsWith("/*");
    }

    /** The next token that is not blank, or size(). */
    int next(int i) {
        do i++; while (i < size() && isBlank(i));
        return i;
    }

    /** The previous token that is not blank, or -1. */
    int previous(int i) {
        do i--; while (i >= 0 && isBlank(i));
        return i;
    }

    /** The closing parenthesis of the one at a position, or -1. */
    int closing(int open) {
        if (is(open, "(") == false) return -1;
        for (int i = open, depth = 0; i < size(); i++) {
            if (is(i, "(")) depth++;
            if (is(i, ")") && --depth == 0) return i;
        }
        return -1;
    }

    /** A token without its quotes. */
    String text(int i) {
        if (i >= size()) return "";
        String token = tokens.get(i);
        char c = token.isEmpty() ? ' ' : token.charAt(0);
        return c == '"' || c == '`' || c == '\'' ? token.substring(1, Math.max(1, token.length() - 1)).replace("" + c + c, "" + c) : token;
    }

    boolean isString(int i) {
        return i < size() && tokens.get(i).startsWith("'");
    }

    /** The joined text of some tokens: table.column, "table"."column". */
    String joined(int from, int to) {
        StringBuilder text = new StringBuilder();
        for (int i = from; i < to; i++) if (isBlank(i) == false) text.append(text(i));
        return text.toString();
    }

    /** The original text of the tokens. */
    String written(int from, int to) {
        return String.join("", tokens.subList(from, to));
    }

    /** Replaces a range of tokens, without moving later ones. */
    void replace(int from, int to, String with) {
        tokens.set(from, with);
        for (int i = from + 1; i < to; i++) tokens.set(i, "");
    }

    @Override
    public String toString() {
        return String.join("", tokens);
    }
}
