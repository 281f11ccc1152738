package essql;

import java.time.LocalDate;
import java.util.Locale;

/** The units of DATE_TRUNC. 6.8 lacks DATE_TRUNC, so a copy has a column for each unit of each date. */
enum Grain {
    YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND;

    private static final long SECOND_MILLIS = 1_000, MINUTE_MILLIS = 60_000, HOUR_MILLIS = 3_600_000, DAY_MILLIS = 86_400_000;

    /** The start, in UTC, of the unit that contains a time. */
    long truncate(long millis) {
        long day = Math.floorDiv(millis, DAY_MILLIS);
        return switch (this) {
            case YEAR -> startOf(LocalDate.ofEpochDay(day).withDayOfYear(1));
            case QUARTER -> {
                LocalDate date = LocalDate.ofEpochDay(day).withDayOfMonth(1);
                yield startOf(date.withMonth((date.getMonthValue() - 1) / 3 * 3 + 1));
            }
            case MONTH -> startOf(LocalDate.ofEpochDay(day).withDayOfMonth(1));
            case WEEK -> (Math.floorDiv(day + 3, 7) * 7 - 3) * DAY_MILLIS; // day 0 was a Thursday
            case DAY -> day * DAY_MILLIS;
            case HOUR -> Math.floorDiv(millis, HOUR_MILLIS) * HOUR_MILLIS;
            case MINUTE -> Math.floorDiv(millis, MINUTE_MILLIS) * MINUTE_MILLIS;
            case SECOND -> Math.floorDiv(millis, SECOND_MILLIS) * SECOND_MILLIS;
        };
    }

    private static long startOf(LocalDate date) {
        return date.toEpochDay() * DAY_MILLIS;
    }

    /** The unit with this name in SQL, or null. */
    static Grain named(String name) {
        return switch (name.toLowerCase(Locale.ROOT)) {
            case "year", "years", "yy", "yyyy" -> YEAR;
            case "quarter", "quarters", "qq", "q" -> QUARTER;
            case "month", "months", "mm", "m" -> MONTH;
            case "week", "weeks", "wk", "ww" -> WEEK;
            case "day", "days", "dd", "d" -> DAY;
            case "hour", "hours", "hh" -> HOUR;
            case "minute", "minutes", "mi", "n" -> MINUTE;
            case "second", "seconds", "ss", "s" -> SECOND;
            default -> null;
        };
    }
}
